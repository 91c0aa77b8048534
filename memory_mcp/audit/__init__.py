"""The log that is only ever added to: how its entries are chained together, asked for, and kept."""
