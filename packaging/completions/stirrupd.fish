# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_stirrupd_global_optspecs
    string join \n c/config= h/help V/version
end

function __fish_stirrupd_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_stirrupd_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_stirrupd_using_subcommand
    set -l cmd (__fish_stirrupd_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c stirrupd -n "__fish_stirrupd_needs_command" -s c -l config -d 'The configuration file' -r -F
complete -c stirrupd -n "__fish_stirrupd_needs_command" -s h -l help -d 'Print help'
complete -c stirrupd -n "__fish_stirrupd_needs_command" -s V -l version -d 'Print version'
complete -c stirrupd -n "__fish_stirrupd_needs_command" -f -a "run" -d 'Run the daemon (this is what happens without a command)'
complete -c stirrupd -n "__fish_stirrupd_needs_command" -f -a "check-config" -d 'Read the configuration, say what is wrong with it, and change nothing'
complete -c stirrupd -n "__fish_stirrupd_needs_command" -f -a "sample-config" -d 'Print a configuration file with every key in it, explained and commented out'
complete -c stirrupd -n "__fish_stirrupd_needs_command" -f -a "quick" -d 'Serve one LUN: no configuration, no catalog'
complete -c stirrupd -n "__fish_stirrupd_using_subcommand run" -s c -l config -d 'The configuration file' -r -F
complete -c stirrupd -n "__fish_stirrupd_using_subcommand run" -s h -l help -d 'Print help'
complete -c stirrupd -n "__fish_stirrupd_using_subcommand check-config" -s c -l config -d 'The configuration file' -r -F
complete -c stirrupd -n "__fish_stirrupd_using_subcommand check-config" -s h -l help -d 'Print help'
complete -c stirrupd -n "__fish_stirrupd_using_subcommand sample-config" -s h -l help -d 'Print help'
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l memory -d 'Serve memory, lost at the end' -r
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l null -d 'Serve a volume that reads as zeros and forgets writes' -r
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l file -d 'Serve a raw image file or a block device' -r -F
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l rbd -d 'Serve an image in Ceph' -r
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l listen -d 'Where to listen; port 0 takes a free one' -r
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l lun -d 'Number of the logical unit, 0 to 16383' -r
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l block-size -d 'Logical block length in bytes' -r
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l ceph-conf -d 'The Ceph cluster\'s configuration file' -r -F
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l ceph-user -d 'Ceph user, without `client.`' -r
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l golden-memory -d 'Memory for the golden image of a clone in Ceph; 0: none' -r
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l chap -d 'Demand CHAP (other users of this machine see the secret in its process list)' -r
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l iqn -d 'Name of the target' -r
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l shards -d 'Threads that serve connections; 0: one per core' -r
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l log -d 'Least level that is logged, also by module' -r
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l read-only -d 'Refuse writes'
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -l write-cache -d 'Acknowledge writes before they are on stable storage, and say so to initiators'
complete -c stirrupd -n "__fish_stirrupd_using_subcommand quick" -s h -l help -d 'Print help'
