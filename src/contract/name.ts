/**
 * Names of receivers, sinks, pipelines and units: identities on disk, in labels and in actors' paths.
 */

/** A lower-case letter, then letters, digits and "-": at most 63 characters. */
export const NAME_PATTERN: RegExp = /^[a-z][a-z0-9-]{0,62}$/;
