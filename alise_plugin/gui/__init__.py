"""What QGIS desktop shows beside the Toolbox: map tools, and series that follow the time."""
