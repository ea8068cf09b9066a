"""Sources and sinks: one module or folder per system. Declarations are plain data; readers and writers do the I/O."""
