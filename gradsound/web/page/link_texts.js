// What the page says of its link to the run.

const OLD_ADDRESS = "an earlier run. The training prints the address of the new run.";

export const LOST = "Connection lost.";
export const NO_LINK = "No connection.";
export const LOST_FOR_LONG = `This address may belong to ${OLD_ADDRESS}`;
export const REFUSED = `This address is no longer valid. It belongs to ${OLD_ADDRESS}`;
export const NEXT_RUN = "The next run has another address; it prints that when it starts.";
