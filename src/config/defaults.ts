/** Data directory when the file names none; relative to the working directory. */
export const DATA_DEFAULT = "./data";
