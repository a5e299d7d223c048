/** `npm run reference`: writes docs/reference from the tables that the code itself uses. */
import { mkdir, writeFile } from "node:fs/promises";
import { referencePages } from "./reference-pages.ts";

const folder = new URL("../docs/reference/", import.meta.url);
await mkdir(folder, { recursive: true });
for (const [name, text] of Object.entries(referencePages())) {
  await writeFile(new URL(name, folder), text);
}
