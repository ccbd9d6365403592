# Where Slicer writes the description of the extension: a value with a semicolon in it arrives as several lines here.

foreach(name HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS CATEGORY)
  record(extension "${name}" ${EXTENSION_${name}})
endforeach()
