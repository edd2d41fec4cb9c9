"""What a lab's readings and event streams cost: batches by time, every process by its CPU."""
