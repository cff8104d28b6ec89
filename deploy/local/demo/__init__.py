"""The demo of the local stack: a merchant's shop whose orders reach a page in a real browser.

It uses the public port alone, as any merchant, shop, visitor and subscriber does.

__main__      `make demo`: starts the stack, sends orders, prints how long each took
order         `make order`: sends one more order
screenshots   `make screenshots`: takes the pictures of the pages in docs/images
account       the demo merchant: created once, remembered in demo.json, logged in again
merchant      client of a merchant's half of the public API
shopify       orders as Shopify sends them, signed
subscriber    client of GraphQL subscriptions
visitor       the demo visitor: Chromium on the demo shop
tracing       one order followed from the webhook to the analytics
timeline      the times of an order as a line of text
start_page    the local stack's pages app: adds the start page, the status and the order button
"""
