// Writes each dashboard as a TypeScript literal of the type in types.ts, for the compiler to check.
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';

const [folder, ...files] = process.argv.slice(2);
for (const file of files) {
  const json = JSON.stringify(JSON.parse(readFileSync(file, 'utf8')), null, 1);
  writeFileSync(`${folder}/${basename(file, '.json')}.check.ts`, `import type { Checked } from './types';\nexport const dashboard: Checked = ${json};\n`);
}
