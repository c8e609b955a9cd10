"""Where arrays live: the mesh of devices and the table that says how parameters lie on it."""
