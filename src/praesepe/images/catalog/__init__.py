"""Tables of any format: where their rows lie, read and written as they were."""
