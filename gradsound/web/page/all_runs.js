// The link from the page of a run back to the list of runs, where a folder is served.

const inFolder = /\/run\/[0-9a-f]+\/$/.test(location.pathname);
document.getElementById("all-runs").hidden = !inFolder;
