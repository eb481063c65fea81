"""Arrays in, arrays out: frames to events to spectra. The only folder that knows the device."""
