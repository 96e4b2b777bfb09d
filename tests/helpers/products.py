"""Small Sentinel-2 products with the true structure, names and metadata of each kind.

All of them show one landscape: reflectance that is linear in place and different for each band and
date, so that what any product of any grid holds at any place is known.
"""

import json
import shutil
import zipfile
from datetime import date, datetime

import numpy as np
from osgeo import gdal, osr

from alise_plugin.sentinel2 import BANDS

FINE = ("B02", "B03", "B04", "B08")
CORNER = (600000.0, 5000000.0)  # of tile T31TCJ in these tests
SIDE = 24  # pixels of 10 m; a multiple of two
BAND_IDS = ("B01", *BANDS[:8], "B09", "B10", "B11", "B12")


def reference(epsg):
    found = osr.SpatialReference()
    found.ImportFromEPSG(epsg)
    found.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return found


def truth(band, day, x, y):
    """Reflectance at places of UTM zone 31N: 2 to 4 DN for each metre, so 0.1 pixel shows."""
    number = BANDS.index(band)
    x, y = np.asarray(x) - CORNER[0], np.asarray(y) - CORNER[1]
    base = 0.05 + 0.01 * number + 0.002 * (day.toordinal() % 30)
    return base + (2 + 0.1 * number) * 1e-4 * x - (4 - 0.2 * number) * 1e-4 * y


def centres(corner, size, shape, epsg=32631):
    """Pixel centres of a grid, in UTM zone 31N: two arrays (H, W)."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    x, y = corner[0] + size * (cols + 0.5), corner[1] - size * (rows + 0.5)
    if epsg == 32631:
        return x, y
    transform = osr.CoordinateTransformation(reference(epsg), reference(32631))
    points = np.array(transform.TransformPoints(np.stack([x.ravel(), y.ravel()], 1).tolist()))
    return points[:, 0].reshape(shape), points[:, 1].reshape(shape)


def expected(series, day, bands=BANDS):
    """(10, H, W) truth on the grid of a series; other bands NaN."""
    grid = series.grid
    code = int(osr.SpatialReference(grid.crs_wkt).GetAuthorityCode(None))
    corner, size = (grid.extent[0], grid.extent[3]), grid.pixel_size[0]
    x, y = centres(corner, size, (grid.height, grid.width), code)
    return np.stack(
        [truth(band, day, x, y) if band in bands else np.full(x.shape, np.nan) for band in BANDS]
    )


def write_image(
    path,
    values,
    *,
    corner=CORNER,
    size=10.0,
    epsg=32631,
    driver="GTiff",
    nodata=None,
    options=(),
    kind=None,
    descriptions=None,
    metadata=None,
):
    """Writes (bands, H, W) or (H, W); ten bands are called B02 to B12."""
    values = values[None] if values.ndim == 2 else values
    if descriptions is None:
        descriptions = BANDS if len(values) == len(BANDS) else ()
    kinds = {"u1": gdal.GDT_Byte, "u2": gdal.GDT_UInt16, "i2": gdal.GDT_Int16}
    kind = kind or kinds.get(values.dtype.str[1:], gdal.GDT_Float32)
    memory = gdal.GetDriverByName("MEM").Create("", values.shape[2], values.shape[1], 0, kind)
    memory.SetProjection(reference(epsg).ExportToWkt())
    memory.SetGeoTransform((corner[0], size, 0.0, corner[1], 0.0, -size))
    memory.SetMetadata(metadata or {})
    for index, plane in enumerate(values):
        memory.AddBand(kind)
        band = memory.GetRasterBand(index + 1)
        band.WriteArray(plane)
        if index < len(descriptions):
            band.SetDescription(descriptions[index])
        if nodata is not None:
            band.SetNoDataValue(nodata)
    if driver == "JP2OpenJPEG":
        options = ["REVERSIBLE=YES", "QUALITY=100", *options]
    path.parent.mkdir(parents=True, exist_ok=True)
    gdal.GetDriverByName(driver).CreateCopy(str(path), memory, options=list(options)).FlushCache()
    return str(path)


def dn(band, day, *, corner=CORNER, size=10, side=SIDE, epsg=32631, offset=0):
    """DN of the landscape on a square of `side` pixels of 10 m."""
    pixels = side * 10 // size
    x, y = centres(corner, size, (pixels, pixels), epsg)
    return np.rint(truth(band, day, x, y) * 1e4 + offset).astype(np.int32)


def write_safe(
    folder,
    day=date(2019, 5, 14),
    *,
    tile="T31TCJ",
    baseline="02.12",
    offset=None,
    processed="20190516T135205",
    time="105031",
    corner=CORNER,
    side=SIDE,
    epsg=32631,
    scl=None,
    hole=None,
    edit=lambda xml: xml,
    level="MSIL2A",
):
    """A product in SAFE; `hole` (rows, cols) of 20 m pixels has no data; returns its folder."""
    sensed = f"{day:%Y%m%d}T{time}"
    name = f"S2A_{level}_{sensed}_N{baseline.replace('.', '')}_R051_{tile}_{processed}.SAFE"
    product = folder / name
    if level == "MSIL1C":
        product.mkdir(parents=True)
        (product / "MTD_MSIL1C.xml").write_text("<Level-1C_User_Product/>")
        return product
    granule = f"GRANULE/L2A_{tile}_A020329_{sensed}"
    images = []

    def write(band, size, values, kind):
        stem = f"{granule}/IMG_DATA/R{size}m/{tile}_{sensed}_{band}_{size}m"
        images.append(stem)
        write_image(
            product / f"{stem}.jp2",
            values.astype(kind),
            corner=corner,
            size=float(size),
            epsg=epsg,
            driver="JP2OpenJPEG",
        )

    place = {"corner": corner, "side": side, "epsg": epsg}
    for size in (10, 20):
        for band in FINE if size == 10 else BANDS:
            if band == "B08" and size == 20:
                continue
            values = dn(band, day, size=size, offset=-(offset or 0), **place)
            if hole is not None:
                big = np.zeros((side // 2, side // 2), bool)
                big[hole] = True
                values[np.kron(big, np.ones((20 // size, 20 // size), bool))] = 0
            write(band, size, values, np.uint16)
    classes = np.full((side // 2, side // 2), 4) if scl is None else scl
    write("SCL", 20, classes, np.uint8)
    preview = np.stack([dn("B04", day, **place) // 40] * 3).clip(0, 255).astype(np.uint8)
    write_image(
        product / f"{granule}/QI_DATA/{tile}_{sensed}_PVI.jp2",
        preview,
        corner=corner,
        epsg=epsg,
        driver="JP2OpenJPEG",
    )
    write_safe_metadata(
        product, granule, images, day, baseline, offset, processed, time, corner, side, epsg,
        classes, edit,
    )  # fmt: skip
    return product


def write_safe_metadata(
    product, granule, images, day, baseline, offset, processed, time, corner, side, epsg, classes,
    edit,
):  # fmt: skip
    sensed = f"{day:%Y-%m-%d}T{time[:2]}:{time[2:4]}:{time[4:]}.024Z"
    made = datetime.strptime(processed, "%Y%m%dT%H%M%S")
    offsets = ""
    if offset is not None:
        rows = "".join(
            f'<BOA_ADD_OFFSET band_id="{number}">{offset}</BOA_ADD_OFFSET>' for number in range(13)
        )
        offsets = f"<BOA_ADD_OFFSET_VALUES_LIST>{rows}</BOA_ADD_OFFSET_VALUES_LIST>"
    listed = "".join(f"<IMAGE_FILE>{stem}</IMAGE_FILE>" for stem in images)
    cloud = 100 * np.isin(classes, (8, 9, 10)).mean()
    empty = 100 * (classes == 0).mean()
    xml = f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
<n1:General_Info><Product_Info>
<PRODUCT_START_TIME>{sensed}</PRODUCT_START_TIME><PRODUCT_STOP_TIME>{sensed}</PRODUCT_STOP_TIME>
<PRODUCT_URI>{product.name}</PRODUCT_URI><PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL>
<PRODUCT_TYPE>S2MSI2A</PRODUCT_TYPE><PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
<GENERATION_TIME>{made:%Y-%m-%dT%H:%M:%S}.000000Z</GENERATION_TIME>
<Datatake datatakeIdentifier="GS2A"><SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
<DATATAKE_SENSING_START>{sensed}</DATATAKE_SENSING_START>
<SENSING_ORBIT_NUMBER>51</SENSING_ORBIT_NUMBER></Datatake>
<Product_Organisation><Granule_List><Granule granuleIdentifier="x">{listed}</Granule>
</Granule_List></Product_Organisation></Product_Info>
<Product_Image_Characteristics>
<Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
<SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>
<Special_Values><SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>
<SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX></Special_Values>
<QUANTIFICATION_VALUES_LIST><BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>
</QUANTIFICATION_VALUES_LIST>{offsets}</Product_Image_Characteristics></n1:General_Info>
<n1:Quality_Indicators_Info><Cloud_Coverage_Assessment>{cloud:.6f}</Cloud_Coverage_Assessment>
<Image_Content_QI><NODATA_PIXEL_PERCENTAGE>{empty:.6f}</NODATA_PIXEL_PERCENTAGE></Image_Content_QI>
</n1:Quality_Indicators_Info></n1:Level-2A_User_Product>"""
    (product / "MTD_MSIL2A.xml").write_text(edit(xml))
    sizes = "".join(
        f'<Size resolution="{size}"><NROWS>{side * 10 // size}</NROWS>'
        f"<NCOLS>{side * 10 // size}</NCOLS></Size>"
        for size in (10, 20)
    )
    places = "".join(
        f'<Geoposition resolution="{size}"><ULX>{corner[0]:.0f}</ULX><ULY>{corner[1]:.0f}</ULY>'
        f"<XDIM>{size}</XDIM><YDIM>-{size}</YDIM></Geoposition>"
        for size in (10, 20)
    )
    (product / granule / "MTD_TL.xml").write_text(
        f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd">
<n1:Geometric_Info><Tile_Geocoding metadataLevel="Brief">
<HORIZONTAL_CS_NAME>WGS84 / UTM</HORIZONTAL_CS_NAME>
<HORIZONTAL_CS_CODE>EPSG:{epsg}</HORIZONTAL_CS_CODE>{sizes}{places}
</Tile_Geocoding></n1:Geometric_Info></n1:Level-2A_Tile_ID>"""
    )


def zipped(product, keep=False):
    """The product inside a zip of its name, as it is downloaded."""
    path = product.with_name(f"{product.stem}.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(product.rglob("*")):
            archive.write(file, f"{product.name}/{file.relative_to(product)}")
    if not keep:
        shutil.rmtree(product)
    return path


def write_theia(
    folder, day=date(2019, 5, 14), *, corner=CORNER, side=SIDE, clm=None, mg2=None, hole=None
):
    """A Theia product; SRE is FRE plus 0.01; masks at 10 m; returns its folder."""
    name = f"SENTINEL2A_{day:%Y%m%d}-105855-394_L2A_T31TCJ_C_V2-2"
    product = folder / name
    listed = []
    for band in BANDS:
        size = 10 if band in FINE else 20
        for kind, more in (("FRE", 0), ("SRE", 100)):
            file = f"{name}_{kind}_{band.replace('B0', 'B')}.tif"
            values = dn(band, day, corner=corner, size=size, side=side) + more
            if hole is not None:
                big = np.zeros((side // 2, side // 2), bool)
                big[hole] = True
                values[np.kron(big, np.ones((20 // size, 20 // size), bool))] = -10000
            place = {"corner": corner, "size": float(size), "nodata": -10000}
            write_image(product / file, values.astype(np.int16), **place)
            listed.append(f"<IMAGE_FILE band_id='{band}'>{file}</IMAGE_FILE>")
    for kind, mask in (("CLM", clm), ("MG2", mg2)):
        if mask is not None:
            file = f"MASKS/{name}_{kind}_R1.tif"
            write_image(product / file, mask.astype(np.uint8), corner=corner)
    cloud = 0 if clm is None else 100 * (clm > 0).mean()
    (product / f"{name}_MTD_ALL.xml").write_text(
        f"""<?xml version="1.0" encoding="UTF-8"?>
<Muscate_Metadata_Document>
<Dataset_Identification><IDENTIFIER>{name}</IDENTIFIER>
<GEOGRAPHICAL_ZONE type="Tile">T31TCJ</GEOGRAPHICAL_ZONE></Dataset_Identification>
<Product_Characteristics><PRODUCT_ID>{name}</PRODUCT_ID>
<ACQUISITION_DATE>{day}T10:58:55.394Z</ACQUISITION_DATE>
<PRODUCTION_DATE>{day}T18:02:00.000Z</PRODUCTION_DATE><PRODUCT_LEVEL>L2A</PRODUCT_LEVEL>
<PLATFORM>SENTINEL2A</PLATFORM></Product_Characteristics>
<Product_Organisation>{"".join(listed)}</Product_Organisation>
<Quality_Informations><Global_Index_List><QUALITY_INDEX name="CloudPercent">{cloud:.0f}
</QUALITY_INDEX></Global_Index_List></Quality_Informations>
<Radiometric_Informations>
<REFLECTANCE_QUANTIFICATION_VALUE>10000</REFLECTANCE_QUANTIFICATION_VALUE>
<Special_Values_List><SPECIAL_VALUE name="water_vapor_content_nodata">0</SPECIAL_VALUE>
<SPECIAL_VALUE name="nodata">-10000</SPECIAL_VALUE></Special_Values_List>
</Radiometric_Informations></Muscate_Metadata_Document>"""
    )
    return product


def write_date_and_band_files(folder, day, style="cog"):
    """One file per band of a date: `cog` in a folder that bears the date, or as in SAFE."""
    for band in (*BANDS, "SCL"):
        size = 10 if band in FINE else 20
        if band == "SCL":
            values = np.full((SIDE // 2, SIDE // 2), 5, np.uint8)
        else:
            values = dn(band, day, size=size).astype(np.uint16)
        if style == "cog":
            path = folder / f"S2A_31TCJ_{day:%Y%m%d}_0_L2A" / f"{band}.tif"
            write_image(path, values, size=float(size), nodata=0)
        else:
            path = folder / f"T31TCJ_{day:%Y%m%d}T105031_{band}_{size}m.jp2"
            write_image(path, values, size=float(size), driver="JP2OpenJPEG")


def stac_item(folder, day, *, style="eo:bands", projected=True, offset=0, applied=None, cloud=0.0):
    """Assets on disk and the item that names them, as the catalogues of the world write it."""
    names = {
        "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge1", "B06": "rededge2",
        "B07": "rededge3", "B08": "nir", "B8A": "nir08", "B11": "swir16", "B12": "swir22",
    }  # fmt: skip
    item_id = f"S2A_31TCJ_{day:%Y%m%d}_0_L2A"
    assets = {}
    for band in BANDS:
        size = 10 if band in FINE else 20
        pixels = SIDE * 10 // size
        kept = 0 if applied else offset
        values = dn(band, day, size=size, offset=-kept).astype(np.uint16)
        file = folder / item_id / f"{band}.tif"
        write_image(file, values, size=float(size))
        values = {"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": offset * 1e-4}
        asset = {
            "href": f"./{item_id}/{band}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data", "reflectance"],
            "proj:shape": [pixels, pixels],
            "proj:transform": [size, 0, CORNER[0], 0, -size, CORNER[1]],
        }
        if style == "eo:bands":
            asset["eo:bands"] = [{"name": band}]
            asset["raster:bands"] = [values]
            assets[f"asset_{len(assets)}"] = asset
        elif style == "bands":
            asset["bands"] = [{"name": band}]
            asset.update({f"raster:{k}" if k in ("scale", "offset") else k: v
                          for k, v in values.items()})  # fmt: skip
            assets[f"asset_{len(assets)}"] = asset
        else:
            common = "rededge" if names[band].startswith("rededge") else names[band]
            asset["eo:bands"] = [{"name": names[band], "common_name": common}]
            asset["raster:bands"] = [values]
            assets[names[band]] = asset
    assets["visual"] = {
        "href": f"./{item_id}/TCI.tif",
        "type": "image/tiff; application=geotiff",
        "roles": ["visual"],
        "eo:bands": [{"name": "B04"}, {"name": "B03"}, {"name": "B02"}],
    }
    assets["granule_metadata"] = {"href": f"./{item_id}/x.xml", "type": "application/xml"}
    properties = {
        "datetime": f"{day}T10:58:55.394000Z",
        "constellation": "sentinel-2",
        "eo:cloud_cover": cloud,
        "proj:epsg": 32631,
    }
    if applied is not None:
        properties["earthsearch:boa_offset_applied"] = applied
    if not projected:
        del properties["proj:epsg"]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item_id,
        "properties": properties,
        "geometry": None,
        "links": [],
        "assets": assets,
        "collection": "sentinel-2-l2a",
    }


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return str(path)
