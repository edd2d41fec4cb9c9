"""Studies: created, advanced from their record, shown, canceled."""
