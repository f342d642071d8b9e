// What the page in a notebook says of its link to the kernel.

export const LOST = "No word from the kernel: it may have stopped, or the notebook is offline.";
export const NO_LINK = "No word from the kernel.";
export const LOST_FOR_LONG = "";
export const REFUSED = "";
export const NEXT_RUN = "";
