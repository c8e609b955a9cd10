# shellcheck shell=bash disable=SC2154 # the launcher sets what it reads
# What is sent to the hosts: the tree as it is now, the requirements, the arguments, the secrets.
# Each is a file, so that nothing of it stands on a command line or is read twice by a shell.
# Reads: root, arguments (array), names (array), extra (a requirement), bundle (a folder, mode 700).

most_bytes=$((500 * 1024 * 1024)) # of the packed tree; more is a data set that git should ignore

tree_files() { # every file of the working tree that git does not ignore, with its changes, NUL between
    git -C "$root" ls-files -z --cached --others --exclude-standard |
        while IFS= read -r -d '' file; do
            # one that is deleted here but not yet in git is not sent
            if [ -e "$root/$file" ] || [ -L "$root/$file" ]; then printf '%s\0' "$file"; fi
        done
}

write_commit() { # COMMIT at the top of the sent tree: the id, and whether the tree differs from it
    local changed="as committed"
    [ -z "$(git -C "$root" status --porcelain)" ] || changed="with uncommitted changes"
    printf '%s\n%s\n' "$(git -C "$root" rev-parse HEAD)" "$changed" >"$bundle/COMMIT"
}

pack_tree() {
    local bytes
    if dry; then
        printf '+ git ls-files -z --cached --others --exclude-standard | tar --null -T - -czf tree.tgz\n'
        note "tree.tgz also has COMMIT: the commit id, and whether there are uncommitted changes"
        return
    fi
    git -C "$root" rev-parse --verify -q HEAD >/dev/null 2>&1 ||
        fail "this is not a git checkout with a commit, so what to send is not known; clone it with git"
    write_commit
    tree_files >"$bundle/files"
    # COPYFILE_DISABLE: no ._ files from a Mac
    COPYFILE_DISABLE=1 tar -cf "$bundle/tree.tar" -C "$root" --null -T "$bundle/files"
    COPYFILE_DISABLE=1 tar -rf "$bundle/tree.tar" -C "$bundle" COMMIT
    gzip -c "$bundle/tree.tar" >"$bundle/tree.tgz"
    bytes=$(wc -c <"$bundle/tree.tgz" | tr -d ' ')
    [ "$bytes" -le "$most_bytes" ] ||
        fail "the tree packs to $((bytes >> 20)) MiB, wanted at most $((most_bytes >> 20)); let .gitignore name the data"
    say "sends $(tr -cd '\0' <"$bundle/files" | wc -c | tr -d ' ') files ($((bytes >> 10)) KiB) of commit" \
        "$(git -C "$root" rev-parse --short HEAD), $(tail -n 1 "$bundle/COMMIT")"
}

write_arguments() { # what follows `python -m fewvid`, as bash reads it back: spaces, quotes, newlines intact
    { printf 'arguments=('; printf ' %q' "${arguments[@]}"; printf ' )\n'; } >"$bundle/arguments"
}

write_secrets() {
    local name
    (umask 077 && : >"$bundle/secrets")
    for name in ${names[@]+"${names[@]}"}; do
        printf 'export %s=%q\n' "$name" "$(printenv "$name")" >>"$bundle/secrets"
    done
}

requirements() { # which files of requirements these arguments need
    printf 'requirements.txt'
    [[ " ${arguments[*]}" != *[\ =]gs://* ]] || printf ' requirements-gcs.txt'
}

make_bundle() { # fills the folder; with DRY_RUN=1 says what it would hold
    pack_tree
    if dry; then
        note "wanted.txt: $(requirements) and $extra; its hash decides whether to install"
        note "arguments:$(quoted "${arguments[@]}")"
        [ ${#names[@]} -eq 0 ] || note "secrets: the values of ${names[*]}, mode 600"
        return
    fi
    # shellcheck disable=SC2046 # names without spaces
    { (cd "$root" && cat $(requirements)); printf '%s\n' "$extra"; } >"$bundle/wanted.txt"
    cp "$root/launch/pod/on_host.sh" "$bundle/on_host.sh"
    write_arguments
    write_secrets
}
