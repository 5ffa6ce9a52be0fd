# RELAY_VERSION for common/ only: the project's version and the git revision, if there is one.
set(RELAY_VERSION_TEXT "${PROJECT_VERSION}")
find_package(Git QUIET)
if(Git_FOUND)
	execute_process(
		COMMAND "${GIT_EXECUTABLE}" -C "${CMAKE_SOURCE_DIR}" describe --always --dirty --abbrev=10
		OUTPUT_VARIABLE relay_describe OUTPUT_STRIP_TRAILING_WHITESPACE
		ERROR_QUIET RESULT_VARIABLE relay_describe_status)
	if(relay_describe_status EQUAL 0 AND relay_describe)
		string(APPEND RELAY_VERSION_TEXT "+g${relay_describe}")
	endif()
endif()
configure_file("${CMAKE_SOURCE_DIR}/cmake/relay_version.h.in"
	"${CMAKE_BINARY_DIR}/generated/relay_version.h" @ONLY)
add_library(relay_version INTERFACE)
target_include_directories(relay_version INTERFACE "${CMAKE_BINARY_DIR}/generated")
