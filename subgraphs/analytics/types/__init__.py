"""The GraphQL types of analytics."""
