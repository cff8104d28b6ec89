"""The pages app: static pages at the public port, each section with headers of its own."""
