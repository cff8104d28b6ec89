"""The static pages: the snippet for shops, the demo pages, GraphiQL."""
