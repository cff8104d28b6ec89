"""The demo: a demo merchant, a shop that sends orders, a visitor in a browser, and a subscriber."""
