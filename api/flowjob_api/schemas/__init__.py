"""What is sent and received, as pydantic models: OpenAPI is made of them, and requests are checked by them."""
