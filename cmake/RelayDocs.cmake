# Manual pages, bash completion and the generated pages of docs/ come from the rows in the code: the programs
# print them. The first two are part of every build; `cmake --build --preset release --target docs` refreshes
# the pages of docs/, which are committed and compared by tests/gates/gate_docs.py.
set(relay_docs "${CMAKE_BINARY_DIR}/docs")
file(MAKE_DIRECTORY "${relay_docs}")

# relay_generate(file program arguments...): a file of build/docs/ that a program prints.
function(relay_generate file program)
	add_custom_command(
		OUTPUT "${relay_docs}/${file}"
		COMMAND ${program} ${ARGN} > "${relay_docs}/${file}"
		DEPENDS ${program}
		VERBATIM)
endfunction()

relay_generate(spoa-relay.8 spoa-relay --generate man)
relay_generate(spoa-relay.conf.5 spoa-relay --generate config-man)
relay_generate(relayadm.1 relayadm --generate-man)
relay_generate(relayadm.bash relayadm --generate-completion)
add_custom_target(manuals ALL DEPENDS "${relay_docs}/spoa-relay.8" "${relay_docs}/spoa-relay.conf.5"
	"${relay_docs}/relayadm.1" "${relay_docs}/relayadm.bash")

set(relay_pages "")
foreach(page CONFIG ERRORS METRICS)
	string(TOLOWER ${page} what)
	relay_generate(${page}.md spoa-relay --generate ${what})
	list(APPEND relay_pages "${relay_docs}/${page}.md")
endforeach()
add_custom_target(docs
	COMMAND "${CMAKE_COMMAND}" -E copy_if_different ${relay_pages} "${CMAKE_SOURCE_DIR}/docs"
	DEPENDS ${relay_pages}
	VERBATIM)

install(FILES "${relay_docs}/relayadm.1" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
install(FILES "${relay_docs}/spoa-relay.conf.5" DESTINATION "${CMAKE_INSTALL_MANDIR}/man5")
install(FILES "${relay_docs}/spoa-relay.8" DESTINATION "${CMAKE_INSTALL_MANDIR}/man8")
install(FILES "${relay_docs}/relayadm.bash"
	DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" RENAME relayadm)

# For other machines: HAProxy's drop-in, units for systemd, and the configuration of a remote egress node.
install(FILES "${CMAKE_SOURCE_DIR}/haproxy/spoa-relay.conf" "${CMAKE_SOURCE_DIR}/haproxy/egress-node.cfg"
	"${CMAKE_SOURCE_DIR}/agent/keeper/spoa-relay.socket" "${CMAKE_SOURCE_DIR}/agent/keeper/spoa-relay.service"
	DESTINATION "${CMAKE_INSTALL_DATADIR}/spoa-relay")
