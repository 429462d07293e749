"""What the program asks of its stores, a Protocol a noun. Adapters are chosen in `app` alone.

A `Store` hands out transactions; inside one, every noun is read and written together, so a ledger entry and the state
it records are both there or neither is. Reads outside a write transaction see one consistent snapshot.
"""
