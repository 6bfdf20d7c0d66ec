/** Completion scripts, generated from the command tree: words and options by path, files where nothing else fits. */
import type { Command } from 'commander';

export interface Words {
  /** `cycle plan`; empty for the program itself. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly about: string }[];
  readonly options: readonly {
    readonly flags: readonly string[];
    readonly about: string;
    readonly takesValue: boolean;
  }[];
  readonly choices: readonly string[];
}

/** Every command with what may follow it. */
export function wordsOf(command: Command, path = ''): Words[] {
  const help = command.createHelp();
  const commands = help
    .visibleCommands(command)
    .map((one) => ({ name: one.name(), about: oneLine(one.description()) }));
  const own: Words = {
    path,
    commands,
    options: help.visibleOptions(command).map((option) => ({
      flags: [option.short, option.long].filter((flag) => flag !== undefined && flag !== null),
      about: oneLine(option.description),
      takesValue: option.required || option.optional,
    })),
    choices: command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
  };
  const children = command.commands.filter((one) => commands.some(({ name }) => name === one.name()));
  return [own, ...children.flatMap((one) => wordsOf(one, `${path} ${one.name()}`.trim()))];
}

export function completionScript(shell: 'bash' | 'zsh' | 'fish', program: Command): string {
  const words = wordsOf(program);
  if (shell === 'fish') return fish(words);
  // zsh runs bash's completion functions itself, so that both complete alike.
  return shell === 'bash'
    ? bash(words)
    : `#compdef ringmaster\nautoload -U +X bashcompinit && bashcompinit\n${bash(words)}`;
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();

function bash(words: readonly Words[]): string {
  const flagsOf = ({ options }: Words) => options.flatMap(({ flags }) => flags);
  const valued = [
    ...new Set(words.flatMap(({ options }) => options.filter((o) => o.takesValue).flatMap((o) => o.flags))),
  ];
  const cases = words.map((one) => {
    const next = [...one.commands.map(({ name }) => name), ...one.choices];
    return `    '${one.path}') next='${next.join(' ')}'; flags='${flagsOf(one).join(' ')}' ;;`;
  });
  const paths = words.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`);
  return `# Completion for ringmaster; made by: ringmaster completion bash
_ringmaster() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="" path="" word try next flags i
  (( COMP_CWORD > 0 )) && previous="\${COMP_WORDS[COMP_CWORD-1]}"
  COMPREPLY=()
  for (( i = 1; i < COMP_CWORD; i++ )); do
    word="\${COMP_WORDS[i]}"
    [[ $word == -* ]] && continue
    try="\${path:+$path }$word"
    case "$try" in
      ${paths.join('|')}) path="$try" ;;
    esac
  done
  case "$previous" in
    ${valued.join('|')}) COMPREPLY=( $(compgen -f -- "$current") ); return ;;
  esac
  case "$path" in
${cases.join('\n')}
  esac
  if [[ $current == -* ]]; then COMPREPLY=( $(compgen -W "$flags" -- "$current") )
  elif [[ -n $next ]]; then COMPREPLY=( $(compgen -W "$next" -- "$current") )
  else COMPREPLY=( $(compgen -f -- "$current") )
  fi
}
complete -o filenames -F _ringmaster ringmaster
`;
}

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

function fish(words: readonly Words[]): string {
  const lines = words.flatMap(({ path, commands, options, choices }) => {
    const on = `-n ${quoted(`__ringmaster_at ${path === '' ? '""' : `"${path}"`}`)}`;
    return [
      ...commands.map(({ name, about }) => `complete -c ringmaster -f ${on} -a ${quoted(name)} -d ${quoted(about)}`),
      ...choices.map((choice) => `complete -c ringmaster -f ${on} -a ${quoted(choice)}`),
      ...options.map(({ flags, about, takesValue }) => {
        const names = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
        return `complete -c ringmaster ${on} ${names.join(' ')}${takesValue ? ' -r' : ''} -d ${quoted(about)}`;
      }),
    ];
  });
  const paths = words.filter(({ path }) => path !== '').map(({ path }) => quoted(path));
  return `# Completion for ringmaster; made by: ringmaster completion fish
function __ringmaster_at
    set -l path
    for word in (commandline -opc)[2..]
        string match -q -- '-*' $word; and continue
        if contains -- (string join ' ' $path $word) ${paths.join(' ')}
            set -a path $word
        end
    end
    test (string join ' ' $path) = "$argv[1]"
end
${lines.join('\n')}
`;
}
