// Writes golden.jsonl beside each tokenizer.json of this folder, with Hugging
// Face's library as the npm package @anush008/tokenizers builds it. See
// make_tokenizers.py.
const fs = require('fs');
const path = require('path');
const {Tokenizer} = require('@anush008/tokenizers');

async function main() {
  const texts = JSON.parse(fs.readFileSync(path.join(__dirname, 'texts.json')));
  for (const name of fs.readdirSync(__dirname)) {
    const file = path.join(__dirname, name, 'tokenizer.json');
    if (!fs.existsSync(file)) continue;
    const tokenizer = Tokenizer.fromFile(file);
    const lines = [];
    for (const text of texts) {
      const encode = async (addSpecialTokens) => Array.from(
          (await tokenizer.encode(text, null, {addSpecialTokens})).getIds());
      const ids = await encode(false);
      lines.push(JSON.stringify({
        text, ids, ids_special: await encode(true),
        decoded: await tokenizer.decode(ids, false),
      }));
    }
    fs.writeFileSync(path.join(__dirname, name, 'golden.jsonl'),
                     lines.join('\n') + '\n');
  }
}

main();
