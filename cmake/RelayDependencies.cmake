# Debian's libraries, each as one target. Only the folder that uses a library links it.
find_package(PkgConfig REQUIRED)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto)

function(relay_pkg name module)
	pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${module})
	add_library(relay_${name} INTERFACE)
	target_link_libraries(relay_${name} INTERFACE PkgConfig::${name})
	if(${name}_INCLUDE_DIRS)
		target_include_directories(relay_${name} SYSTEM INTERFACE ${${name}_INCLUDE_DIRS})
	endif()
endfunction()

relay_pkg(json json-c)
relay_pkg(seccomp libseccomp)
relay_pkg(zlib zlib)
relay_pkg(sqlite sqlite3)
relay_pkg(microhttpd libmicrohttpd)
relay_pkg(curl libcurl)

# Debian ships libev without a .pc file.
find_library(RELAY_EV_LIBRARY ev REQUIRED)
find_path(RELAY_EV_INCLUDE ev.h REQUIRED)
add_library(relay_ev INTERFACE)
target_link_libraries(relay_ev INTERFACE "${RELAY_EV_LIBRARY}")
target_include_directories(relay_ev SYSTEM INTERFACE "${RELAY_EV_INCLUDE}")
# Hides the names of libev 3.
target_compile_definitions(relay_ev INTERFACE EV_COMPAT3=0)

if(BUILD_TESTING)
	relay_pkg(cmocka cmocka)
endif()
