"""The queue, with one entry per queued run; the only room that uses Procrastinate."""
