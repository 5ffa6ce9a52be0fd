# Warnings, hardening and instrumentation, as one interface target that every target of the project links.
include(CheckCCompilerFlag)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(relay_flags INTERFACE)
target_compile_definitions(relay_flags INTERFACE _GNU_SOURCE)
target_compile_options(relay_flags INTERFACE
	-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla
	-Wcast-qual -Wwrite-strings -Wundef
	-fno-common -fvisibility=hidden -fno-strict-aliasing)
if(RELAY_WERROR)
	target_compile_options(relay_flags INTERFACE -Werror)
endif()

set(relay_is_gcc FALSE)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	set(relay_is_gcc TRUE)
endif()

set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_DEBUG "-O0 -g3")

if(RELAY_SANITIZE)
	set(CMAKE_C_FLAGS_DEBUG "-O1 -g")
	target_compile_options(relay_flags INTERFACE
		-fsanitize=${RELAY_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
	target_link_options(relay_flags INTERFACE -fsanitize=${RELAY_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
	# Fortification needs optimisation and gets in the way of the sanitizers. Level 3 came with gcc 12;
	# clang 14 knows only 2, and glibc warns about more.
	set(relay_fortify 2)
	if(relay_is_gcc AND CMAKE_C_COMPILER_VERSION VERSION_GREATER_EQUAL 12)
		set(relay_fortify 3)
	endif()
	target_compile_options(relay_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${relay_fortify})
	if(relay_is_gcc)
		target_compile_options(relay_flags INTERFACE -Wnull-dereference)
	endif()
endif()

if(NOT RELAY_FUZZ)
	foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection -fno-plt)
		string(MAKE_C_IDENTIFIER "relay_has${flag}" known)
		check_c_compiler_flag(${flag} ${known})
		if(${known})
			target_compile_options(relay_flags INTERFACE ${flag})
		endif()
	endforeach()
	target_link_options(relay_flags INTERFACE
		-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)
endif()

if(RELAY_SANITIZE OR RELAY_COVERAGE)
	target_compile_definitions(relay_flags INTERFACE RELAY_INSTRUMENTED)
endif()

if(RELAY_COVERAGE)
	target_compile_options(relay_flags INTERFACE --coverage -fprofile-update=atomic)
	target_link_options(relay_flags INTERFACE --coverage)
endif()
