"""Commands about who may do what: roles, API keys, service accounts."""
