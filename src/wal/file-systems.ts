/**
 * What is known of file systems as a place for a log, by the name that `Files.fileSystem` gives.
 */

/** Write every block to a new place: zeros written before gain nothing there, and reserve nothing. */
const COPY_ON_WRITE: readonly string[] = ["btrfs", "zfs", "bcachefs", "f2fs", "nilfs2"];

/** Keep what they say is durable over a power cut, on a disk that keeps it. */
const SUITABLE: readonly string[] = ["ext4", "xfs", "ubifs", ...COPY_ON_WRITE];

const OVER_NETWORK = "a server decides when a write is durable, and a second machine can open it";
const NO_JOURNAL = "has no journal, so a power cut may take names of files that are durable";

/** Why the others are not. */
const REASONS: ReadonlyMap<string, string> = new Map([
  ["tmpfs", "is in memory, a restart of the machine empties it"],
  ["ramfs", "is in memory, a restart of the machine empties it"],
  ["nfs", OVER_NETWORK],
  ["cifs", OVER_NETWORK],
  ["smb2", OVER_NETWORK],
  ["ceph", OVER_NETWORK],
  ["9p", "is the host's, and whether it passes flushes on is not known"],
  ["fuse", "is a program, and whether it passes flushes on is not known"],
  [
    "overlay",
    "does not tell what lies beneath, and a container's own layer goes with the container",
  ],
  ["vfat", NO_JOURNAL],
  ["exfat", NO_JOURNAL],
  ["jffs2", "has not been tried"],
  ["squashfs", "is read-only"],
]);

/** Whether writing zeros to a file keeps blocks for it. */
export function isCopyOnWrite(type: string): boolean {
  return COPY_ON_WRITE.includes(type);
}

/** Why a file system may lose what the log has acknowledged; undefined where it does not. */
export function unsuitableBecause(type: string): string | undefined {
  if (SUITABLE.includes(type)) return undefined;
  return REASONS.get(type) ?? "is not known";
}
