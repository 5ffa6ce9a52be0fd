# Man page and bash completion come from relayadm's own command rows: `cmake --build . --target docs`.
if(TARGET relayadm)
	set(relay_docs "${CMAKE_BINARY_DIR}/docs")
	file(MAKE_DIRECTORY "${relay_docs}")
	add_custom_command(
		OUTPUT "${relay_docs}/relayadm.1" "${relay_docs}/relayadm.bash"
		COMMAND relayadm --generate-man > "${relay_docs}/relayadm.1"
		COMMAND relayadm --generate-completion > "${relay_docs}/relayadm.bash"
		DEPENDS relayadm
		VERBATIM)
	add_custom_target(docs DEPENDS "${relay_docs}/relayadm.1" "${relay_docs}/relayadm.bash")
	install(FILES "${relay_docs}/relayadm.1"
		DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" OPTIONAL)
	install(FILES "${relay_docs}/relayadm.bash"
		DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions"
		RENAME relayadm OPTIONAL)
endif()

# For the machines beside this one: HAProxy's drop-in, and the configuration of a remote egress node.
install(FILES "${CMAKE_SOURCE_DIR}/haproxy/spoa-relay.conf" "${CMAKE_SOURCE_DIR}/haproxy/egress-node.cfg"
	DESTINATION "${CMAKE_INSTALL_DATADIR}/spoa-relay")
