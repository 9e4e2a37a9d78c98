"""The body of an upload: received by the kernel into one buffer, parsed, both photos inspected."""
