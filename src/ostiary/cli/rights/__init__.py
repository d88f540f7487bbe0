"""Commands about who may do what: API keys, service accounts."""
