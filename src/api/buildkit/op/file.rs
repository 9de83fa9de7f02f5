//! A step that changes files: copies, makes and removes them, from one result to the next.

use bytes::Bytes;

use crate::message;

message! {
    /// Changes files
    pub struct FileOp {
        /// In order
        2 "actions" => actions: Vec<FileAction>,
    }
}

message! {
    /// One change to files
    pub struct FileAction {
        /// What is changed
        1 "input" => input: i64,
        /// Where from
        2 "secondaryInput" => secondary_input: i64,
        /// Which result it becomes
        3 "output" => output: i64,
        /// Copies
        4 "copy" => copy: Option<FileCopy>,
        /// Makes a file
        5 "mkfile" => mkfile: Option<FileMake>,
        /// Makes a directory
        6 "mkdir" => mkdir: Option<DirMake>,
        /// Removes
        7 "rm" => rm: Option<FileRemove>,
        /// Makes a symbolic link (0.15)
        8 "symlink" => symlink: Option<FileLink>,
    }
}

impl FileAction {
    pub(super) fn is_several(&self) -> bool {
        let Self { input: _, secondary_input: _, output: _, copy, mkfile, mkdir, rm, symlink } = self;
        let kinds = [copy.is_some(), mkfile.is_some(), mkdir.is_some(), rm.is_some(), symlink.is_some()];
        kinds.iter().filter(|is| **is).count() > 1
    }
}

message! {
    /// Copies files from one result to another
    pub struct FileCopy {
        /// From
        1 "src" => src: String,
        /// To
        2 "dest" => dest: String,
        /// Owner
        3 "owner" => owner: Option<Chown>,
        /// Mode; -1 leaves it
        4 "mode" => mode: i32,
        /// Follow symbolic links
        5 "followSymlink" => follow_symlink: bool,
        /// What is in a directory, not the directory
        6 "dirCopyContents" => dir_copy_contents: bool,
        /// Unpack archives
        7 "attemptUnpackDockerCompatibility" => unpack: bool,
        /// Make the directory
        8 "createDestPath" => create_dest_path: bool,
        /// Wildcards
        9 "allowWildcard" => allow_wildcard: bool,
        /// Wildcards may find nothing
        10 "allowEmptyWildcard" => allow_empty_wildcard: bool,
        /// Time; -1 leaves it
        11 "timestamp" => timestamp: i64,
        /// Only these
        12 "include_patterns" => include: Vec<String>,
        /// Not these
        13 "exclude_patterns" => exclude: Vec<String>,
        /// Replace what is of another kind (0.14)
        14 "alwaysReplaceExistingDestPaths" => always_replace: bool,
        /// Mode as text (0.17)
        15 "modeStr" => mode_text: String,
        /// What must be there (0.25)
        16 "required_paths" => required: Vec<String>,
    }
}

message! {
    /// Makes a file
    pub struct FileMake {
        /// Where
        1 "path" => path: String,
        /// Mode
        2 "mode" => mode: i32,
        /// What it holds
        3 "data" => data: Bytes,
        /// Owner
        4 "owner" => owner: Option<Chown>,
        /// Time
        5 "timestamp" => timestamp: i64,
    }
}

message! {
    /// Makes a symbolic link
    pub struct FileLink {
        /// What it says
        1 "oldpath" => old: String,
        /// Where
        2 "newpath" => new: String,
        /// Owner
        3 "owner" => owner: Option<Chown>,
        /// Time
        4 "timestamp" => timestamp: i64,
    }
}

message! {
    /// Makes a directory
    pub struct DirMake {
        /// Where
        1 "path" => path: String,
        /// Mode
        2 "mode" => mode: i32,
        /// And those above it
        3 "makeParents" => make_parents: bool,
        /// Owner
        4 "owner" => owner: Option<Chown>,
        /// Time
        5 "timestamp" => timestamp: i64,
    }
}

message! {
    /// Removes files
    pub struct FileRemove {
        /// Which
        1 "path" => path: String,
        /// It may be missing
        2 "allowNotFound" => allow_not_found: bool,
        /// Wildcards
        3 "allowWildcard" => allow_wildcard: bool,
    }
}

message! {
    /// User and group of files
    pub struct Chown {
        /// User
        1 "user" => user: Option<UserOpt>,
        /// Group
        2 "group" => group: Option<UserOpt>,
    }
}

message! {
    /// A user or group
    pub struct UserOpt {
        /// By a name of some result's files
        1 "byName" => by_name: Option<NamedUser>,
        /// By number; 0 is said, too
        2 "byID" => by_id: Option<u32>,
    }
}

message! {
    /// A name in the files of a result
    pub struct NamedUser {
        /// The name
        1 "name" => name: String,
        /// Which input
        2 "input" => input: i64,
    }
}
