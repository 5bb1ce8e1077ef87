"""From outputs to numbers: isolated workers score each output, rows are charged, scaled, averaged, and written."""
