# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_stirrup_global_optspecs
    string join \n socket= host= tls-cert= tls-key= tls-ca= token-file= json timeout= h/help V/version
end

function __fish_stirrup_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_stirrup_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_stirrup_using_subcommand
    set -l cmd (__fish_stirrup_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c stirrup -n "__fish_stirrup_needs_command" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_needs_command" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_needs_command" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_needs_command" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_needs_command" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_needs_command" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_needs_command" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_needs_command" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_needs_command" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_needs_command" -s V -l version -d 'Print version'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "import" -d 'Import a golden image from a raw or qcow2 file'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "ls" -d 'List the images of a project'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "pro" -d 'Provision: give a node its own clone of an image'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "dpro" -d 'Deprovision: take a node\'s disk away and remove it'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "showpro" -d 'Show which nodes are provisioned, and with what'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "showdisks" -d 'Show which nodes are provisioned, and with what'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "rm" -d 'Remove an image'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "export" -d 'Copy an image out, to a file on the gateway or to a pool of the Ceph cluster'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "upload" -d 'Upload a raw or qcow2 file from here as an image'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "download" -d 'Download an image into a file here, as a raw disk'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "cp" -d 'Copy an image, within a project or to another one'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "mv" -d 'Give an image another name, or another project'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "snap" -d 'Images made of disks'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "iscsi" -d 'What is exported over iSCSI'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "db" -d 'What the catalog has, as M2\'s command shows its database'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "node" -d 'Nodes: bare-metal machines and what they boot from'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "image" -d 'Images: golden images that disks are cloned from'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "disk" -d 'Disks: clones of images, each exported by its own target'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "target" -d 'Targets, as initiators see them'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "session" -d 'Sessions: initiators that are logged in'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "job" -d 'Jobs: imports, copies and the like, under way and ended'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "events" -d 'What has happened, and what happens'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "project" -d 'Projects: tenants, what they have and what they may have'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "token" -d 'Tokens: who may do what without being a user of the gateway'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "certificate" -d 'Certificates: what the holders of client certificates may do'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "audit" -d 'Who did what, newest first'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "whoami" -d 'Who you are for stirrupd, and what you may do'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "health" -d 'Whether the daemon can do its work; exit code 1 if something is wrong'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "version" -d 'The versions of this command and of the daemon'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "dial-stdio" -d 'Connect standard input and output with the control socket; what --host runs on the other machine'
complete -c stirrup -n "__fish_stirrup_needs_command" -f -a "completion" -d 'Print a completion script'
complete -c stirrup -n "__fish_stirrup_using_subcommand import" -l sha256 -d 'SHA-256 that the file must have, in hexadecimal' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand import" -l format -d 'Format of the file; found out by itself when not given' -r -f -a "raw\t''
qcow2\t''"
complete -c stirrup -n "__fish_stirrup_using_subcommand import" -l store -d 'Store that gets the image; the default one when not given' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand import" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand import" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand import" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand import" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand import" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand import" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand import" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand import" -l fix-boot-chs -d 'Mend, in the copy, a protective MBR that slows BIOS GRUB down'
complete -c stirrup -n "__fish_stirrup_using_subcommand import" -l no-wait -d 'Do not wait for the end; `stirrup job show` tells how it goes'
complete -c stirrup -n "__fish_stirrup_using_subcommand import" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand import" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l size -d 'Size of the disk, as 40GiB [default: the image\'s, or the project\'s if that is larger]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l iops -d 'Operations a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l bandwidth -d 'Bytes a second, as 100MiB' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l read-iops -d 'Reads a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l read-bandwidth -d 'Bytes read a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l write-iops -d 'Writes and flushes a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l write-bandwidth -d 'Bytes written a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l burst -d 'After so long without use, as much at once as otherwise in that time [default: 1]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l chap-per-node -d 'Demand CHAP, with credentials that are each node\'s own and handed out in its iPXE script' -r -f -a "once\t''
always\t''"
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l encryption -d 'Encrypt it in the store with a key of its own (luks1, luks2: a copy of the image is made), or not at all (none) [default: as the image is]' -r -f -a "none\t''
luks1\t''
luks2\t''"
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l chap -d 'Demand CHAP, with generated credentials; the node\'s iPXE script holds them'
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l mutual-chap -d 'The target proves itself to the initiator, too'
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l no-wait -d 'Do not wait for the end; `stirrup job show` tells how it goes'
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand pro" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand dpro" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand dpro" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand dpro" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand dpro" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand dpro" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand dpro" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand dpro" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand dpro" -s y -l yes -d 'Do not ask'
complete -c stirrup -n "__fish_stirrup_using_subcommand dpro" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand dpro" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand showpro" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand showpro" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand showpro" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand showpro" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand showpro" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand showpro" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand showpro" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand showpro" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand showpro" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand showdisks" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand showdisks" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand showdisks" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand showdisks" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand showdisks" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand showdisks" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand showdisks" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand showdisks" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand showdisks" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand rm" -s y -l yes -d 'Do not ask'
complete -c stirrup -n "__fish_stirrup_using_subcommand rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand export" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand export" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand export" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand export" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand export" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand export" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand export" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand export" -l no-wait -d 'Do not wait for the end; `stirrup job show` tells how it goes'
complete -c stirrup -n "__fish_stirrup_using_subcommand export" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand export" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -l sha256 -d 'SHA-256 that the file must have, in hexadecimal' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -l format -d 'Format of the file; found out by itself when not given' -r -f -a "raw\t''
qcow2\t''"
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -l store -d 'Store that gets the image; the default one when not given' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -l retry -d 'Go on trying for so long after the connection, or the daemon, has broken off' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -l fix-boot-chs -d 'Mend a protective MBR that slows BIOS GRUB down'
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -l no-wait -d 'Do not wait for the end; `stirrup job show` tells how it goes'
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand upload" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand download" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand download" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand download" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand download" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand download" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand download" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand download" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand download" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand download" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand cp" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand cp" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand cp" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand cp" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand cp" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand cp" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand cp" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand cp" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand cp" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand mv" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand mv" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand mv" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand mv" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand mv" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand mv" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand mv" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand mv" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand mv" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and not __fish_seen_subcommand_from create ls rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and not __fish_seen_subcommand_from create ls rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and not __fish_seen_subcommand_from create ls rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and not __fish_seen_subcommand_from create ls rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and not __fish_seen_subcommand_from create ls rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and not __fish_seen_subcommand_from create ls rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and not __fish_seen_subcommand_from create ls rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and not __fish_seen_subcommand_from create ls rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and not __fish_seen_subcommand_from create ls rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and not __fish_seen_subcommand_from create ls rm" -f -a "create" -d 'Make an image of what a disk holds now; its machine goes on'
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and not __fish_seen_subcommand_from create ls rm" -f -a "ls" -d 'List the images that were made of disks'
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and not __fish_seen_subcommand_from create ls rm" -f -a "rm" -d 'Remove an image'
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from create" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from create" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from create" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from create" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from create" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from create" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from create" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from create" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from rm" -s y -l yes -d 'Do not ask'
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand snap; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and not __fish_seen_subcommand_from create rm ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and not __fish_seen_subcommand_from create rm ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and not __fish_seen_subcommand_from create rm ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and not __fish_seen_subcommand_from create rm ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and not __fish_seen_subcommand_from create rm ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and not __fish_seen_subcommand_from create rm ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and not __fish_seen_subcommand_from create rm ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and not __fish_seen_subcommand_from create rm ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and not __fish_seen_subcommand_from create rm ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and not __fish_seen_subcommand_from create rm ls" -f -a "create" -d 'Export an image itself, to be edited: no clone is made'
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and not __fish_seen_subcommand_from create rm ls" -f -a "rm" -d 'Export an image no more; it stays'
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and not __fish_seen_subcommand_from create rm ls" -f -a "ls" -d 'List what is exported: all targets, or those of a project'
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from create" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from create" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from create" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from create" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from create" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from create" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from create" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from create" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from rm" -s y -l yes -d 'Do not ask'
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand iscsi; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and not __fish_seen_subcommand_from ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and not __fish_seen_subcommand_from ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and not __fish_seen_subcommand_from ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and not __fish_seen_subcommand_from ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and not __fish_seen_subcommand_from ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and not __fish_seen_subcommand_from ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and not __fish_seen_subcommand_from ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and not __fish_seen_subcommand_from ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and not __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and not __fish_seen_subcommand_from ls" -f -a "ls" -d 'List images and disks with their names in the store'
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and __fish_seen_subcommand_from ls" -s p -l project -d 'Only of this project' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and __fish_seen_subcommand_from ls" -l name -d 'Only of this name' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and __fish_seen_subcommand_from ls" -l ceph -d 'Only with this name in the store' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and __fish_seen_subcommand_from ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and __fish_seen_subcommand_from ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and __fish_seen_subcommand_from ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and __fish_seen_subcommand_from ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and __fish_seen_subcommand_from ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and __fish_seen_subcommand_from ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and __fish_seen_subcommand_from ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and __fish_seen_subcommand_from ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand db; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -f -a "list" -d 'List nodes'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -f -a "ls" -d 'List nodes'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -f -a "show" -d 'Show one node'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -f -a "create" -d 'Make a node known, or replace what is known of it'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -f -a "remove" -d 'Forget a node; it must not have a disk'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -f -a "rm" -d 'Forget a node; it must not have a disk'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -f -a "bind" -d 'Bind a disk that exists to a node'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -f -a "unbind" -d 'Take a node\'s disk away; the disk stays'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -f -a "boot-arguments" -d 'Show what to add to the command line of a node\'s kernel, if it has a boot loader of its own'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -f -a "rearm" -d 'Have a node\'s own CHAP secret handed out once more, in its iPXE script'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -f -a "ip" -d 'Print the addresses from which a node is logged in'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and not __fish_seen_subcommand_from list ls show create remove rm bind unbind boot-arguments rearm ip ipxe" -f -a "ipxe" -d 'Print the iPXE script that boots a node'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from list" -s p -l project -d 'Only of this project [default: STIRRUP_PROJECT, or all]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from list" -l mac -d 'Only the one with this MAC address' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from list" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from list" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from list" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from list" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from list" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from list" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from list" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from list" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ls" -s p -l project -d 'Only of this project [default: STIRRUP_PROJECT, or all]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ls" -l mac -d 'Only the one with this MAC address' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from show" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from show" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from show" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from show" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from show" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from show" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from show" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from show" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from show" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from create" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from create" -l mac -d 'MAC address of a network interface; may be repeated' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from create" -l initiator -d 'Name it logs in with; then no other may use its disk' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from create" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from create" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from create" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from create" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from create" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from create" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from create" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from create" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from remove" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from remove" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from remove" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from remove" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from remove" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from remove" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from remove" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from remove" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from remove" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rm" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from bind" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from bind" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from bind" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from bind" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from bind" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from bind" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from bind" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from bind" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from bind" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from bind" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from unbind" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from unbind" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from unbind" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from unbind" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from unbind" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from unbind" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from unbind" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from unbind" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from unbind" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from unbind" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from boot-arguments" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from boot-arguments" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from boot-arguments" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from boot-arguments" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from boot-arguments" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from boot-arguments" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from boot-arguments" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from boot-arguments" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from boot-arguments" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from boot-arguments" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rearm" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rearm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rearm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rearm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rearm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rearm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rearm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rearm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rearm" -l renew -d 'Another one than before; the node\'s sessions end'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rearm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from rearm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ip" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ip" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ip" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ip" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ip" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ip" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ip" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ip" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ip" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ipxe" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ipxe" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ipxe" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ipxe" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ipxe" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ipxe" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ipxe" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ipxe" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ipxe" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand node; and __fish_seen_subcommand_from ipxe" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "list" -d 'List images'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "ls" -d 'List images'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "show" -d 'Show one image'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "profile" -d 'Show what is known of how an image boots: what is fetched when a node logs in'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "import" -d 'Import an image from a raw or qcow2 file on the gateway, or from a pool of the Ceph cluster'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "upload" -d 'Upload a raw or qcow2 file from here, holes as holes; the same command again goes on where one broke off'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "abandon" -d 'Give up an upload that is not complete'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "export" -d 'Copy an image out, to a file on the gateway or to a pool of the Ceph cluster'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "public" -d 'Have all projects see and use an image'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "private" -d 'Keep an image to its project'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "copy" -d 'Copy an image into a new one that does not need it'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "cp" -d 'Copy an image into a new one that does not need it'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "rename" -d 'Give an image another name, or another project'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "mv" -d 'Give an image another name, or another project'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "protect" -d 'Protect an image from removal'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "unprotect" -d 'Protect an image no more'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "default" -d 'Set the tag that disks are cloned from when none is named'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "tag" -d 'Tags of an image: what it held at a moment, for disks to be cloned from'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "download" -d 'Download an image into a file here, as a raw disk; zeros become holes'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "remove" -d 'Remove an image'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and not __fish_seen_subcommand_from list ls show profile import upload abandon export public private copy cp rename mv protect unprotect default tag download remove rm" -f -a "rm" -d 'Remove an image'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from list" -s p -l project -d 'Only of this project [default: STIRRUP_PROJECT, or all]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from list" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from list" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from list" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from list" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from list" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from list" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from list" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from list" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from ls" -s p -l project -d 'Only of this project [default: STIRRUP_PROJECT, or all]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from show" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from show" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from show" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from show" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from show" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from show" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from show" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from show" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from show" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from profile" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from profile" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from profile" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from profile" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from profile" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from profile" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from profile" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from profile" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from profile" -l forget -d 'Forget it: the next boot is the first one again'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from profile" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from profile" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -l sha256 -d 'SHA-256 that the file must have, in hexadecimal' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -l format -d 'Format of the file; found out by itself when not given' -r -f -a "raw\t''
qcow2\t''"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -l store -d 'Store that gets the image; the default one when not given' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -l fix-boot-chs -d 'Mend, in the copy, a protective MBR that slows BIOS GRUB down'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -l no-wait -d 'Do not wait for the end; `stirrup job show` tells how it goes'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -l sha256 -d 'SHA-256 that the file must have, in hexadecimal' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -l format -d 'Format of the file; found out by itself when not given' -r -f -a "raw\t''
qcow2\t''"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -l store -d 'Store that gets the image; the default one when not given' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -l retry -d 'Go on trying for so long after the connection, or the daemon, has broken off' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -l fix-boot-chs -d 'Mend a protective MBR that slows BIOS GRUB down'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -l no-wait -d 'Do not wait for the end; `stirrup job show` tells how it goes'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from upload" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from abandon" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from abandon" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from abandon" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from abandon" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from abandon" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from abandon" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from abandon" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from abandon" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from abandon" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from abandon" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from export" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from export" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from export" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from export" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from export" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from export" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from export" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from export" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from export" -l no-wait -d 'Do not wait for the end; `stirrup job show` tells how it goes'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from export" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from public" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from public" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from public" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from public" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from public" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from public" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from public" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from public" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from public" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from public" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from private" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from private" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from private" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from private" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from private" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from private" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from private" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from private" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from private" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from private" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from copy" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from copy" -l to-project -d 'Project of the copy; the same one when not given' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from copy" -l store -d 'Store that gets the copy; the same one when not given' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from copy" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from copy" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from copy" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from copy" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from copy" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from copy" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from copy" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from copy" -l no-wait -d 'Do not wait for the end; `stirrup job show` tells how it goes'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from copy" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from copy" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from cp" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from cp" -l to-project -d 'Project of the copy; the same one when not given' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from cp" -l store -d 'Store that gets the copy; the same one when not given' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from cp" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from cp" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from cp" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from cp" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from cp" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from cp" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from cp" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from cp" -l no-wait -d 'Do not wait for the end; `stirrup job show` tells how it goes'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from cp" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from cp" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rename" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rename" -l to-project -d 'New project; it must have no disks then' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rename" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rename" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rename" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rename" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rename" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rename" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rename" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rename" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rename" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from mv" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from mv" -l to-project -d 'New project; it must have no disks then' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from mv" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from mv" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from mv" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from mv" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from mv" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from mv" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from mv" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from mv" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from mv" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from protect" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from protect" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from protect" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from protect" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from protect" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from protect" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from protect" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from protect" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from protect" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from protect" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from unprotect" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from unprotect" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from unprotect" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from unprotect" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from unprotect" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from unprotect" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from unprotect" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from unprotect" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from unprotect" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from unprotect" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from default" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from default" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from default" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from default" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from default" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from default" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from default" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from default" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from default" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from default" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -f -a "list" -d 'List tags'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -f -a "ls" -d 'List tags'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -f -a "show" -d 'Show one tag'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -f -a "create" -d 'Make a tag of what is there now'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -f -a "protect" -d 'Protect a tag, and what has it, from removal'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -f -a "unprotect" -d 'Protect a tag no more'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -f -a "remove" -d 'Remove a tag'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from tag" -f -a "rm" -d 'Remove a tag'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from download" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from download" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from download" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from download" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from download" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from download" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from download" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from download" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from download" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from download" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from remove" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from remove" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from remove" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from remove" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from remove" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from remove" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from remove" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from remove" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from remove" -s y -l yes -d 'Do not ask'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from remove" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rm" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rm" -s y -l yes -d 'Do not ask'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand image; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "list" -d 'List disks'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "ls" -d 'List disks'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "show" -d 'Show one disk'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "create" -d 'Make a disk: a clone of an image, and its target'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "set" -d 'Change who may log in to a disk, and whether it may be written; sessions end'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "qos" -d 'Show or set how much a disk may be asked for; sessions go on'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "enable" -d 'Have a disk served by its target again'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "disable" -d 'Have a disk served no more: initiators are told to try again; sessions end'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "expose" -d 'Give a disk its target back'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "unexpose" -d 'Take a disk\'s target away: nobody finds it; sessions end'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "migrate" -d 'Give a disk to another node: who has it is out before the other is in'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "redirect" -d 'Send initiators that log in to a disk to another gateway; sessions go on'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "recall" -d 'Take a redirection back: initiators log in here again'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "resize" -d 'Make a disk larger, while it is in use too'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "tag" -d 'Tags of a disk: what it held at a moment, for it to be rolled back to'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "rollback" -d 'Have a disk hold again what it held at a tag'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "flatten" -d 'Make a disk independent of its image, while it is in use too'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "snapshot" -d 'Make an image of what a disk holds now, or held at a tag'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "remove" -d 'Remove a disk, its data and its target'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and not __fish_seen_subcommand_from list ls show create set qos enable disable expose unexpose migrate redirect recall resize tag rollback flatten snapshot remove rm" -f -a "rm" -d 'Remove a disk, its data and its target'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from list" -s p -l project -d 'Only of this project [default: STIRRUP_PROJECT, or all]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from list" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from list" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from list" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from list" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from list" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from list" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from list" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from list" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from ls" -s p -l project -d 'Only of this project [default: STIRRUP_PROJECT, or all]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from show" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from show" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from show" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from show" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from show" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from show" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from show" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from show" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from show" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l size -d 'Size, as 40GiB [default: the image\'s, or the project\'s if that is larger]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l lun -d 'Number of its logical unit, 0 to 16383' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l initiator -d 'Initiator that may log in (`*` at its end matches any end); may be repeated' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l address -d 'Network that may log in, as ADDR or ADDR/PREFIX; may be repeated' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l portal-group -d 'Portal group in which it is offered, by its tag; may be repeated [default: all]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l iops -d 'Operations a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l bandwidth -d 'Bytes a second, as 100MiB' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l read-iops -d 'Reads a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l read-bandwidth -d 'Bytes read a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l write-iops -d 'Writes and flushes a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l write-bandwidth -d 'Bytes written a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l burst -d 'After so long without use, as much at once as otherwise in that time [default: 1]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l chap-per-node -d 'Demand CHAP, with credentials that are each node\'s own and handed out in its iPXE script' -r -f -a "once\t''
always\t''"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l encryption -d 'Encrypt it in the store with a key of its own (luks1, luks2: a copy of the image is made), or not at all (none) [default: as the image is]' -r -f -a "none\t''
luks1\t''
luks2\t''"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l edit -d 'Do not clone the image, but export it itself, to be edited'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l read-only -d 'Refuse writes'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l chap -d 'Demand CHAP, with generated credentials; the node\'s iPXE script holds them'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l mutual-chap -d 'The target proves itself to the initiator, too'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l no-wait -d 'Do not wait for the end; `stirrup job show` tells how it goes'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l initiator -d 'Initiator that may log in (`*` at its end matches any end), in place of those there are; may be repeated' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l address -d 'Network that may log in, in place of those there are; may be repeated' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l portal-group -d 'Portal group in which it is offered, by its tag; may be repeated' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l chap-per-node -d 'Demand CHAP, with credentials that are each node\'s own and handed out in its iPXE script' -r -f -a "once\t''
always\t''"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l no-initiators -d 'Nobody but the node that it is bound to, if that has a name, and otherwise anybody'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l any-address -d 'From anywhere'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l all-portal-groups -d 'In all portal groups'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l chap -d 'Demand CHAP, with generated credentials'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l mutual-chap -d 'The target proves itself to the initiator, too'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l renew-chap -d 'Generate the credentials anew'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l no-chap -d 'Demand CHAP no more'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l read-only -d 'Refuse writes'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l read-write -d 'Take writes'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l iops -d 'Operations a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l bandwidth -d 'Bytes a second, as 100MiB' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l read-iops -d 'Reads a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l read-bandwidth -d 'Bytes read a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l write-iops -d 'Writes and flushes a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l write-bandwidth -d 'Bytes written a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l burst -d 'After so long without use, as much at once as otherwise in that time [default: 1]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l none -d 'Take all limits away'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from qos" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from enable" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from enable" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from enable" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from enable" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from enable" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from enable" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from enable" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from enable" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from enable" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from disable" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from disable" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from disable" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from disable" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from disable" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from disable" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from disable" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from disable" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from disable" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from expose" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from expose" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from expose" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from expose" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from expose" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from expose" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from expose" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from expose" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from expose" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from expose" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from unexpose" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from unexpose" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from unexpose" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from unexpose" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from unexpose" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from unexpose" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from unexpose" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from unexpose" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from unexpose" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from unexpose" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from migrate" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from migrate" -l from -d 'Only if this node has it now' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from migrate" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from migrate" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from migrate" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from migrate" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from migrate" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from migrate" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from migrate" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from migrate" -l force -d 'Even if who has it would be admitted next to the new one: who has it is off, and stays off'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from migrate" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from migrate" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from redirect" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from redirect" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from redirect" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from redirect" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from redirect" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from redirect" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from redirect" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from redirect" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from redirect" -l permanently -d 'For good: initiators may forget this gateway'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from redirect" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from redirect" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from recall" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from recall" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from recall" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from recall" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from recall" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from recall" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from recall" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from recall" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from recall" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from recall" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from resize" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from resize" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from resize" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from resize" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from resize" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from resize" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from resize" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from resize" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from resize" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from resize" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -f -a "list" -d 'List tags'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -f -a "ls" -d 'List tags'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -f -a "show" -d 'Show one tag'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -f -a "create" -d 'Make a tag of what is there now'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -f -a "protect" -d 'Protect a tag, and what has it, from removal'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -f -a "unprotect" -d 'Protect a tag no more'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -f -a "remove" -d 'Remove a tag'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from tag" -f -a "rm" -d 'Remove a tag'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rollback" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rollback" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rollback" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rollback" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rollback" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rollback" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rollback" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rollback" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rollback" -l force -d 'Even if somebody is logged in, who will be disconnected'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rollback" -l no-wait -d 'Do not wait for the end; `stirrup job show` tells how it goes'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rollback" -s y -l yes -d 'Do not ask'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rollback" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rollback" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from flatten" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from flatten" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from flatten" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from flatten" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from flatten" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from flatten" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from flatten" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from flatten" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from flatten" -l no-wait -d 'Do not wait for the end; `stirrup job show` tells how it goes'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from flatten" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from flatten" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from snapshot" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from snapshot" -l to-project -d 'Project of the copy; the same one when not given' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from snapshot" -l store -d 'Store that gets the copy; the same one when not given' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from snapshot" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from snapshot" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from snapshot" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from snapshot" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from snapshot" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from snapshot" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from snapshot" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from snapshot" -l no-wait -d 'Do not wait for the end; `stirrup job show` tells how it goes'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from snapshot" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from snapshot" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from remove" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from remove" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from remove" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from remove" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from remove" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from remove" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from remove" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from remove" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from remove" -s y -l yes -d 'Do not ask'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from remove" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rm" -s p -l project -d 'Project [default: STIRRUP_PROJECT]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rm" -s y -l yes -d 'Do not ask'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand disk; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and not __fish_seen_subcommand_from list ls show drain" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and not __fish_seen_subcommand_from list ls show drain" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and not __fish_seen_subcommand_from list ls show drain" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and not __fish_seen_subcommand_from list ls show drain" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and not __fish_seen_subcommand_from list ls show drain" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and not __fish_seen_subcommand_from list ls show drain" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and not __fish_seen_subcommand_from list ls show drain" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and not __fish_seen_subcommand_from list ls show drain" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and not __fish_seen_subcommand_from list ls show drain" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and not __fish_seen_subcommand_from list ls show drain" -f -a "list" -d 'List targets'
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and not __fish_seen_subcommand_from list ls show drain" -f -a "ls" -d 'List targets'
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and not __fish_seen_subcommand_from list ls show drain" -f -a "show" -d 'Show one target'
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and not __fish_seen_subcommand_from list ls show drain" -f -a "drain" -d 'Ask all initiators of a target to log out, and end the sessions that are left then'
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from list" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from list" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from list" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from list" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from list" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from list" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from list" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from list" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from show" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from show" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from show" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from show" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from show" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from show" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from show" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from show" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from drain" -l seconds -d 'Time they have' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from drain" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from drain" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from drain" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from drain" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from drain" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from drain" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from drain" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from drain" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand target; and __fish_seen_subcommand_from drain" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and not __fish_seen_subcommand_from list ls logout kill" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and not __fish_seen_subcommand_from list ls logout kill" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and not __fish_seen_subcommand_from list ls logout kill" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and not __fish_seen_subcommand_from list ls logout kill" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and not __fish_seen_subcommand_from list ls logout kill" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and not __fish_seen_subcommand_from list ls logout kill" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and not __fish_seen_subcommand_from list ls logout kill" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and not __fish_seen_subcommand_from list ls logout kill" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and not __fish_seen_subcommand_from list ls logout kill" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and not __fish_seen_subcommand_from list ls logout kill" -f -a "list" -d 'List sessions'
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and not __fish_seen_subcommand_from list ls logout kill" -f -a "ls" -d 'List sessions'
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and not __fish_seen_subcommand_from list ls logout kill" -f -a "logout" -d 'Ask an initiator to log out, and end its session if it has not in time'
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and not __fish_seen_subcommand_from list ls logout kill" -f -a "kill" -d 'End a session at once; its initiator may log in again'
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from list" -l target -d 'Those of one target' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from list" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from list" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from list" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from list" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from list" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from list" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from list" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from list" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from ls" -l target -d 'Those of one target' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from logout" -l seconds -d 'Time it has' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from logout" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from logout" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from logout" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from logout" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from logout" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from logout" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from logout" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from logout" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from logout" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from kill" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from kill" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from kill" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from kill" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from kill" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from kill" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from kill" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from kill" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand session; and __fish_seen_subcommand_from kill" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and not __fish_seen_subcommand_from list ls show wait cancel" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and not __fish_seen_subcommand_from list ls show wait cancel" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and not __fish_seen_subcommand_from list ls show wait cancel" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and not __fish_seen_subcommand_from list ls show wait cancel" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and not __fish_seen_subcommand_from list ls show wait cancel" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and not __fish_seen_subcommand_from list ls show wait cancel" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and not __fish_seen_subcommand_from list ls show wait cancel" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and not __fish_seen_subcommand_from list ls show wait cancel" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and not __fish_seen_subcommand_from list ls show wait cancel" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and not __fish_seen_subcommand_from list ls show wait cancel" -f -a "list" -d 'List jobs, newest first'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and not __fish_seen_subcommand_from list ls show wait cancel" -f -a "ls" -d 'List jobs, newest first'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and not __fish_seen_subcommand_from list ls show wait cancel" -f -a "show" -d 'Show one job'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and not __fish_seen_subcommand_from list ls show wait cancel" -f -a "wait" -d 'Wait for the end of a job; exit code 1 if it fails'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and not __fish_seen_subcommand_from list ls show wait cancel" -f -a "cancel" -d 'Cancel a job'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from list" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from list" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from list" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from list" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from list" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from list" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from list" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from list" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from show" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from show" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from show" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from show" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from show" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from show" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from show" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from show" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from wait" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from wait" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from wait" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from wait" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from wait" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from wait" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from wait" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from wait" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from wait" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from cancel" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from cancel" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from cancel" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from cancel" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from cancel" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from cancel" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from cancel" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from cancel" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand job; and __fish_seen_subcommand_from cancel" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand events" -s t -l type -d 'Only of this kind: disk.changed, or disk for all that begin so; may be repeated' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand events" -s p -l project -d 'Only of this project' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand events" -l since -d 'Only those after the event of this id (--json shows ids) [default: all that are kept]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand events" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand events" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand events" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand events" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand events" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand events" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand events" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand events" -s f -l follow -d 'Go on: show what happens as it happens'
complete -c stirrup -n "__fish_stirrup_using_subcommand events" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand events" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -f -a "list" -d 'List projects'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -f -a "ls" -d 'List projects'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -f -a "show" -d 'Show one project'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -f -a "create" -d 'Make a project, or set what it may have and how its new disks are made; what is not given has no limit'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -f -a "remove" -d 'Remove a project in which nothing is'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and not __fish_seen_subcommand_from list ls show create remove rm" -f -a "rm" -d 'Remove a project in which nothing is'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from list" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from list" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from list" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from list" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from list" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from list" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from list" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from list" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from show" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from show" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from show" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from show" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from show" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from show" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from show" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from show" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l disks -d 'Most disks' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l bytes -d 'Most bytes of images and disks together, as 10TiB' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l nodes -d 'Most nodes that have a disk' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l portal-group -d 'Portal group for its new disks, by its tag; may be repeated [default: all]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l store -d 'Store of its new images, when none is named' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l image -d 'Image of its new disks, when none is named' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l disk-size -d 'Size of its new disks, as 40GiB, when none is named and their image is smaller' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l iops -d 'Operations a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l bandwidth -d 'Bytes a second, as 100MiB' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l read-iops -d 'Reads a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l read-bandwidth -d 'Bytes read a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l write-iops -d 'Writes and flushes a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l write-bandwidth -d 'Bytes written a second' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l burst -d 'After so long without use, as much at once as otherwise in that time [default: 1]' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from remove" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from remove" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from remove" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from remove" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from remove" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from remove" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from remove" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from remove" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand project; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and not __fish_seen_subcommand_from list ls create remove rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and not __fish_seen_subcommand_from list ls create remove rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and not __fish_seen_subcommand_from list ls create remove rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and not __fish_seen_subcommand_from list ls create remove rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and not __fish_seen_subcommand_from list ls create remove rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and not __fish_seen_subcommand_from list ls create remove rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and not __fish_seen_subcommand_from list ls create remove rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and not __fish_seen_subcommand_from list ls create remove rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and not __fish_seen_subcommand_from list ls create remove rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and not __fish_seen_subcommand_from list ls create remove rm" -f -a "list" -d 'List tokens'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and not __fish_seen_subcommand_from list ls create remove rm" -f -a "ls" -d 'List tokens'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and not __fish_seen_subcommand_from list ls create remove rm" -f -a "create" -d 'Make a token and print it; it is not shown again'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and not __fish_seen_subcommand_from list ls create remove rm" -f -a "remove" -d 'Revoke a token'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and not __fish_seen_subcommand_from list ls create remove rm" -f -a "rm" -d 'Revoke a token'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from list" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from list" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from list" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from list" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from list" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from list" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from list" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from list" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from create" -s p -l project -d 'The only project that its holder sees; all when not given' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from create" -l days -d 'Days until it is worth nothing; never when not given' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from create" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from create" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from create" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from create" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from create" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from create" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from create" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from create" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from remove" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from remove" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from remove" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from remove" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from remove" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from remove" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from remove" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from remove" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand token; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and not __fish_seen_subcommand_from list ls create remove rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and not __fish_seen_subcommand_from list ls create remove rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and not __fish_seen_subcommand_from list ls create remove rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and not __fish_seen_subcommand_from list ls create remove rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and not __fish_seen_subcommand_from list ls create remove rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and not __fish_seen_subcommand_from list ls create remove rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and not __fish_seen_subcommand_from list ls create remove rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and not __fish_seen_subcommand_from list ls create remove rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and not __fish_seen_subcommand_from list ls create remove rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and not __fish_seen_subcommand_from list ls create remove rm" -f -a "list" -d 'List the certificates that are named'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and not __fish_seen_subcommand_from list ls create remove rm" -f -a "ls" -d 'List the certificates that are named'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and not __fish_seen_subcommand_from list ls create remove rm" -f -a "create" -d 'Say what the holder of a certificate may do'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and not __fish_seen_subcommand_from list ls create remove rm" -f -a "remove" -d 'Take the rights of a certificate away'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and not __fish_seen_subcommand_from list ls create remove rm" -f -a "rm" -d 'Take the rights of a certificate away'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from list" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from list" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from list" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from list" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from list" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from list" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from list" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from list" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from ls" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from ls" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from ls" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from ls" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from ls" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from ls" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from ls" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from ls" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from create" -s p -l project -d 'The only project that its holder sees; all when not given' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from create" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from create" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from create" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from create" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from create" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from create" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from create" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from create" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from remove" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from remove" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from remove" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from remove" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from remove" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from remove" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from remove" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from remove" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from rm" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from rm" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from rm" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from rm" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from rm" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from rm" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from rm" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from rm" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand certificate; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand audit" -l limit -d 'Most entries' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand audit" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand audit" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand audit" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand audit" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand audit" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand audit" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand audit" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand audit" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand audit" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand whoami" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand whoami" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand whoami" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand whoami" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand whoami" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand whoami" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand whoami" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand whoami" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand whoami" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand health" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand health" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand health" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand health" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand health" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand health" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand health" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand health" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand health" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand version" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand version" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand version" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand version" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand version" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand version" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand version" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand version" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand version" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand dial-stdio" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand dial-stdio" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand dial-stdio" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand dial-stdio" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand dial-stdio" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand dial-stdio" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand dial-stdio" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand dial-stdio" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand dial-stdio" -s h -l help -d 'Print help'
complete -c stirrup -n "__fish_stirrup_using_subcommand completion" -l socket -d 'The control socket of stirrupd [default: /run/stirrup/stirrup.sock]' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand completion" -l host -d 'stirrupd on another machine: USER@HOST or ssh://USER@HOST:PORT/SOCKET by ssh, https://HOST:PORT by TLS' -r -f -a "(__fish_print_hostnames)"
complete -c stirrup -n "__fish_stirrup_using_subcommand completion" -l tls-cert -d 'With https: file with your certificate (PEM)' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand completion" -l tls-key -d 'With https: file with its private key; the same file when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand completion" -l tls-ca -d 'With https: file with the authority of stirrupd\'s certificate; those of the system when not given' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand completion" -l token-file -d 'File with the token to use; without one it is your user, or your certificate, that asks' -r -F
complete -c stirrup -n "__fish_stirrup_using_subcommand completion" -l timeout -d 'Give up when there is no answer for so long' -r
complete -c stirrup -n "__fish_stirrup_using_subcommand completion" -l json -d 'Print the answer of the API as it is (JSON)'
complete -c stirrup -n "__fish_stirrup_using_subcommand completion" -s h -l help -d 'Print help'
