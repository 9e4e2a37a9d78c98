"""The body of an upload: received by the kernel into one buffer, taken apart, both photos inspected."""
