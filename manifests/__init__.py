"""The records that flow, their shards and parquet schemas, the ledger and the rights."""
