"""ALISE for QGIS: the folder that QGIS loads as a plugin."""


def classFactory(iface):  # noqa: N802 (the name is QGIS's)
    """Return the plugin that QGIS asks for when it loads this folder."""
    from .alise_plugin.plugin import AlisePlugin

    return AlisePlugin(iface)
