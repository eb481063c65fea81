"""Result files read back, as tables, plots and spectra for other programs."""
