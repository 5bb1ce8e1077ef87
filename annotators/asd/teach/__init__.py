"""Teaching lip-net: footage to takes, takes to examples, examples to weights."""
