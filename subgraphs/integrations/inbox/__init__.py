"""The webhook receiver: it checks what shops send and stores it in the inbox."""
