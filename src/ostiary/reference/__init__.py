"""The API reference: the OpenAPI document, and a page that shows it with Swagger UI. All of it is served from here."""
