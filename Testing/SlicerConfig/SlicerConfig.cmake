# Stand-in for the file of this name that a build of Slicer brings, so that the extension can be configured without one.
#
# It does nothing but refuse what Slicer refuses and write what it was told to extension.txt in the build folder: a line
# for each value, with its kind, the module or variable that it belongs to, and the value, separated by tabs.

set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/GenerateConfig.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/CPack.cmake")
set(Slicer_FOUND TRUE)
